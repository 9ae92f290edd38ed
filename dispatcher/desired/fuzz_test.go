package desired

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzParse: what is read can be written, and is the same when it is read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte("\ufeff# nothing"))
	f.Add([]byte(`{"interfaces": [{"name": "eth0", "programs": [{"name": "a\u00e9", "object": "x.o", "maps": {"m": [{"key": "0a 00", "value": -1}]}}]}]}`))
	f.Add([]byte("interfaces: [&i {name: &n \"010\", programs: []}, *i, {name: *n}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parse("/f.yaml", data)
		if err != nil {
			return
		}
		text, err := s.YAML()
		if err != nil {
			t.Fatalf("%+v can't be written: %v", s, err)
		}
		again, err := parse("/f.yaml", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(s, again, ignorePlaces, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s\n%s", diff, text)
		}
	})
}
