package dispatcher

import (
	"fmt"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// explainPinnedMaps finds the map of an object whose pin is taken by one of
// another layout, which libbpf then doesn't reuse; nil if there is none.
func explainPinnedMaps(o *opened, err error) error {
	for _, m := range o.obj.Maps() {
		path := m.PinPath()
		if path == "" {
			continue
		}
		fd, openErr := libbpf.ObjGet(path)
		if openErr != nil {
			continue
		}
		info, infoErr := libbpf.MapInfoByFD(fd.Int())
		fd.Close()
		if infoErr != nil || sameLayout(m, info) {
			continue
		}
		return &Error{Kind: ErrObject, Err: err,
			Msg: fmt.Sprintf("the map pinned at %s is not like the map %q of %s", path, m.Name(), o.spec.File),
			Remedy: fmt.Sprintf("remove the pin if nothing needs it, or choose another --pin-path; pinned: %s; needed: %s",
				layoutText(info.Type, info.KeySize, info.ValueSize, info.MaxEntries), layoutText(m.Type(), m.KeySize(), m.ValueSize(), m.MaxEntries()))}
	}
	return nil
}

func sameLayout(m *libbpf.Map, info *libbpf.MapInfo) bool {
	return info.Type == m.Type() && info.KeySize == m.KeySize() && info.ValueSize == m.ValueSize() && info.MaxEntries == m.MaxEntries()
}

func layoutText(t libbpf.MapType, key, value, entries int) string {
	return fmt.Sprintf("%s with keys of %d bytes, values of %d bytes and %d entries", t, key, value, entries)
}
