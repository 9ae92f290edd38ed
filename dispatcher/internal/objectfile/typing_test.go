package objectfile

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestTyped has every function of every object typed as a program. The object passes the same
// checks as before, and nothing else of it has changed.
func TestTyped(t *testing.T) {
	files, err := filepath.Glob("../../../build/bpf/*/*.o")
	if err != nil || len(files) == 0 {
		t.Fatal("no objects: ", err)
	}
	functions := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		before, err := Parse(data)
		if err != nil {
			continue // of another machine
		}
		programs := map[string]bool{}
		for _, fn := range before.functions() {
			programs[fn.name] = true
		}
		after, err := Parse(before.Typed(programs))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		if after.Untyped() {
			t.Errorf("%s: not every function is typed", file)
		}
		types := after.FunctionTypes()
		for name := range programs {
			functions++
			id := types[name]
			if id == 0 {
				t.Errorf("%s: function %s has no type", file, name)
				continue
			}
			if proto := after.BTF.typeOf(after.BTF.typeOf(id).size); proto.vlen != 1 {
				t.Errorf("%s: function %s takes %d arguments", file, name, proto.vlen)
			}
		}
		if diff := otherwiseChanged(before, after); diff != "" {
			t.Errorf("%s: section %s has changed", file, diff)
		}
	}
	if functions < 50 {
		t.Errorf("%d functions in %d files", functions, len(files))
	}
}

// otherwiseChanged names a section that differs and should not.
func otherwiseChanged(before, after *File) string {
	for i := range before.sections {
		a, b := &before.sections[i], &after.sections[i]
		x, y := before.content(a), after.content(b)
		switch {
		case a.name == ".BTF" || a.name == ".BTF.ext":
		case a.name == ".strtab":
			y = y[:len(x)]
			fallthrough
		default:
			if a.name != b.name || a.kind != b.kind || a.flags != b.flags || a.link != b.link || a.info != b.info || !bytes.Equal(x, y) {
				return a.name
			}
		}
	}
	return ""
}

// TestTypedIsSmall: a program without type information needs this many bytes of it, and
// nothing is added where nothing is missing.
func TestTypedIsSmall(t *testing.T) {
	for name, untyped := range map[string]bool{"fixtures/nobtf": true, "fixtures/noext": true, "xdp_pass": false} {
		data, err := os.ReadFile("../../../build/bpf/" + name + ".o")
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		if f.Untyped() != untyped {
			t.Errorf("%s: untyped is %t", name, f.Untyped())
		}
		if name != "fixtures/nobtf" {
			continue
		}
		typed, err := Parse(f.Typed(map[string]bool{"nobtf": true}))
		if err != nil {
			t.Fatal(err)
		}
		if size := len(typed.content(typed.named(".BTF"))); size > 150 {
			t.Errorf("%s: %d bytes of type information", name, size)
		}
	}
}
