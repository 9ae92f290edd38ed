package protocol

import "testing"

// What isn't one of our pins has no id: whatever lies beside them is nobody's to remove.
func TestOwnID(t *testing.T) {
	for pin, want := range map[string]uint32{
		"main-244": 244, "config-4294967295": 4294967295, "name-12-3": 12,
		"": 0, "main": 0, "main-": 0, "main-0244": 0, "main-+244": 0, "main-244x": 0, "main-244-1": 0, "main-4294967296": 0,
		"name-12": 0, "name-12-": 0, "name-12-03": 0, "notes-244": 0, "-244": 0,
	} {
		if id, ok := OwnID(pin); id != want || ok != (want != 0) {
			t.Errorf("%q is a pin of %d (%v), want %d", pin, id, ok, want)
		}
	}
}
