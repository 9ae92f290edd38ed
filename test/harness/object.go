package harness

import (
	"bytes"
	"debug/elf"
	"os"
	"path/filepath"
	"testing"
)

// EditSection copies an object file, has edit change a section of the copy, and returns
// the copy's path. Its name is another one, too.
func EditSection(t testing.TB, file, section string, edit func(contents []byte)) (copied string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	object, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	s := object.Section(section)
	if s == nil {
		t.Fatalf("%s has no section %s", file, section)
		return "" // staticcheck doesn't know that Fatalf never returns
	}
	before := bytes.Clone(data)
	edit(data[s.Offset:][:s.Size])
	if bytes.Equal(before, data) {
		t.Fatalf("nothing changed in section %s of %s", section, file)
	}
	copied = filepath.Join(t.TempDir(), "copied.o")
	if err := os.WriteFile(copied, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}
