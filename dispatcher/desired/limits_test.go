package desired

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLimits: whatever stands in a file, reading it takes neither much time nor much
// memory.
func TestLimits(t *testing.T) {
	const program = "interfaces:\n- name: x\n  programs:\n  - name: a\n    object: o\n    maps:\n      m:\n"
	const testSize = FileLimit / 4
	repeat := func(s string, size int) string { return strings.Repeat(s, size/len(s)) }
	// 10 programs on 10 interfaces, each behind an alias of an alias.
	aliases := "interfaces:\n- &i {name: x, programs: [&p {name: a, object: o, maps: {m: &m [&e {key: 0, value: 0}"
	aliases += strings.Repeat(", *e", 500) + "]"
	for i := range 500 {
		aliases += fmt.Sprintf(", m%d: *m", i)
	}
	aliases += "}}" + strings.Repeat(", *p", 500) + "]}\n" + strings.Repeat("- *i\n", 500)
	for name, c := range map[string]struct{ file, err string }{
		"a large blocklist":     {program + repeat("      - {key: 192.0.2.1, value: 1}\n", testSize-100), ""},
		"aliases of aliases":    {aliases, "more than 1048576 values"},
		"nothing but lists":     {repeat("[", testSize), "exceeded max depth of 64"},
		"nothing but objects":   {repeat("{a: ", testSize), "exceeded max depth of 64"},
		"nothing but dashes":    {repeat("- ", testSize), "exceeded max depth of 64"},
		"nothing but questions": {repeat("? ", testSize), "exceeded max depth of 64"},
		"many documents":        {repeat("---\n", testSize), "several documents"},
		"many values":           {"interfaces: [" + repeat("a,", testSize-100) + "]", "an object is wanted"},
		"many anchors":          {"interfaces: [" + repeat("&a a,", testSize-100) + "]", "an object is wanted"},
		"a long text":           {repeat("a", testSize), "an object is wanted"},
		"a long number":         {"interfaces: " + repeat("1", testSize-100), "a list is wanted here, and this is a number"},
		"comments":              {repeat("# a\n", testSize), ""},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := processorTime(t)
			_, err := parse("a.yaml", []byte(c.file))
			took := processorTime(t) - start
			runtime.ReadMemStats(&after)
			if text := errorText(err); c.err == "" && err != nil || !strings.Contains(text, c.err) {
				t.Errorf("%d bytes: %s", len(c.file), text)
			}
			if memory := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 5*time.Second || memory > 256 {
				t.Errorf("%d bytes took %v and %d MiB in all", len(c.file), took, memory)
			} else {
				t.Logf("%d bytes took %v and %d MiB in all", len(c.file), took, memory)
			}
		})
	}
}

// processorTime is what this process has used of the processors, however busy they are.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
