package desired

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"eth0", "eth0", true},
		{"eth0", "eth1", false},
		{"eth*", "eth1", true},
		{"eth*", "*1", true},
		{"eth?", "eth*0", true},
		{"eth?", "eth00", false},
		{"eth[0-3]", "eth[3-9]", true},
		{"eth[0-3]", "eth[4-9]", false},
		{"eth[^0-9]", "eth[0-9]", false},
		{"eth[^0-9]", "eth?", true},
		{`eth\*`, "eth0", false},
		{`eth\*`, "eth[*]", true},
		{"*a*", "*b*", true},
		{"a*", "b*", false},
		{"", "*", true},
		{"[", "*", false},
	} {
		if got := Overlap(c.a, c.b); got != c.want || Overlap(c.b, c.a) != c.want {
			t.Errorf("%q and %q: %t, want %t", c.a, c.b, got, c.want)
		}
	}
}

// TestOverlapProperties: two patterns overlap just if one of all short names matches both.
func TestOverlapProperties(t *testing.T) {
	var names []string
	for _, a := range []string{"", "a", "b", "c", "*"} {
		for _, b := range []string{"", "a", "b", "c", "*"} {
			for _, c := range []string{"", "a", "b", "c", "*"} {
				for _, d := range []string{"", "a", "b", "c", "*"} {
					names = append(names, a+b+c+d)
				}
			}
		}
	}
	part := rapid.SampledFrom([]string{"a", "b", "c", "?", "*", "[ab]", "[^a]", "[b-c]", `\*`, `[\*-a]`})
	pattern := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(part, 0, 3).Draw(t, "parts"), "") })
	rapid.Check(t, func(t *rapid.T) {
		a, b := pattern.Draw(t, "a"), pattern.Draw(t, "b")
		want := false
		for _, name := range names {
			x, errX := path.Match(a, name)
			y, errY := path.Match(b, name)
			if errX != nil || errY != nil {
				t.Fatal(a, b, errX, errY)
			}
			want = want || x && y
		}
		if got := Overlap(a, b); got != want {
			t.Fatalf("%q and %q: %t, want %t", a, b, got, want)
		}
	})
}
