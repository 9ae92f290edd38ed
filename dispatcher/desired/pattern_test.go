package desired

import (
	"path"
	"testing"

	"pgregory.net/rapid"
)

// TestQuotePattern: what an exported name is made matches that name, and no other.
func TestQuotePattern(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.StringMatching(`[a*?\[\]\\-]{1,6}`)
		name, other := names.Draw(t, "name"), names.Draw(t, "other")
		pattern := QuotePattern(name)
		if back, ok := literal(pattern); !ok || back != name {
			t.Fatalf("%q is read back as %q, %t", pattern, back, ok)
		}
		for _, s := range []string{name, other} {
			if ok, err := path.Match(pattern, s); err != nil || ok != (s == name) {
				t.Fatalf("%q matches %q: %t, %v", pattern, s, ok, err)
			}
		}
	})
}

func TestLiteral(t *testing.T) {
	for pattern, want := range map[string]string{"eth0": "eth0", `a\*b`: "a*b", `\[x`: "[x", "a-]": "a-]"} {
		if name, ok := literal(pattern); !ok || name != want {
			t.Errorf("%q: %q, %t", pattern, name, ok)
		}
	}
	for _, pattern := range []string{"eth*", "eth?", "[ab]", `a\*b*`, `a\`} {
		if name, ok := literal(pattern); ok {
			t.Errorf("%q is taken for %q", pattern, name)
		}
	}
}
