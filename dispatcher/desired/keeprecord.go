package desired

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"github.com/xdpmux/xdpmux/dispatcher"
)

// Kept are the records of programs, by the programs' ids, as [KeepRecords] has found them.
type Kept map[uint32]json.RawMessage

// KeepRecords reads the records of a chain's programs. If the chain comes back after a change,
// [Kept.Restore] has them say again what they said before.
func KeepRecords(chain *dispatcher.Chain) (Kept, error) { return defaultRecords.keep(chain) }

// Restore writes the records.
func (k Kept) Restore() error { return defaultRecords.restore(k) }

func (r records) keep(chain *dispatcher.Chain) (Kept, error) {
	kept := Kept{}
	ids := []uint32{chain.MainID()} // that of a legacy program
	for _, p := range chain.Programs {
		ids = append(ids, p.ID)
	}
	for _, id := range ids {
		data, err := os.ReadFile(r.path(id))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !json.Valid(data) {
			continue
		}
		if err != nil {
			return nil, err
		}
		kept[id] = data
	}
	return kept, nil
}

func (r records) restore(k Kept) error {
	for id, data := range k {
		var rec record
		if err := decode(data, &rec); err != nil || rec.ID != id {
			continue
		}
		if err := r.write(rec); err != nil {
			return err
		}
	}
	return nil
}
