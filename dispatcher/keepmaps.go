package dispatcher

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
)

// keepMaps makes the programs that replace others use their maps, where that was
// asked for. It is done once: what has been chosen stays when a lost race is started
// over.
func (c *commit) keepMaps(old *running) error {
	for i, r := range c.Replace {
		o := c.replaces[i]
		if !r.KeepMaps || o.kept != nil {
			continue
		}
		for _, m := range old.members() {
			if m.ID != r.ID {
				continue
			}
			if err := o.chooseMaps(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// chooseMaps finds the maps of from that o has too.
func (o *opened) chooseMaps(from member) error {
	theirs, err := mapsOf(from.fd.Int())
	if err != nil {
		return err
	}
	o.kept = map[string]uint32{}
	for _, m := range o.obj.Maps() {
		there := theirs[m.Name()[:min(len(m.Name()), maxKernelName)]]
		if there == nil || m.Internal() {
			continue
		}
		ours := &libbpf.MapInfo{Type: m.Type(), KeySize: m.KeySize(), ValueSize: m.ValueSize(), MaxEntries: m.MaxEntries()}
		if ours.MaxEntries == 0 { // libbpf will choose
			ours.MaxEntries = there.MaxEntries
		}
		if a, b := layoutOf(there), layoutOf(ours); a != b {
			return &Error{Kind: ErrInvalid,
				Msg:    fmt.Sprintf("map %s can't be kept: program %d (%s) has %s, %s has %s", m.Name(), from.ID, from.Name, a, o.spec.File, b),
				Remedy: "keep the layout, give the map another name, or replace without keeping maps"}
		}
		o.kept[m.Name()] = there.ID
	}
	return o.reuseMaps()
}

// reuseMaps makes the load use the maps that were chosen.
func (o *opened) reuseMaps() error {
	for _, m := range o.obj.Maps() {
		id := o.kept[m.Name()]
		if id == 0 {
			continue
		}
		fd, err := libbpf.MapByID(id)
		if err != nil {
			return fmt.Errorf("map %s: %w", m.Name(), err)
		}
		err = m.ReuseFD(fd.Int())
		fd.Close()
		if err != nil {
			return fmt.Errorf("map %s: %w", m.Name(), err)
		}
	}
	return nil
}

// layoutOf tells what two maps must share to hold the same contents.
func layoutOf(m *libbpf.MapInfo) string {
	return fmt.Sprintf("%s, key %d bytes, value %d bytes, %d entries", m.Type, m.KeySize, m.ValueSize, m.MaxEntries)
}

// mapsOf are the maps of a program by the kernel's name, which is cut. Those that
// share one are left out: nobody could tell which is which.
func mapsOf(progFD int) (map[string]*libbpf.MapInfo, error) {
	info, err := libbpf.ProgInfoByFD(progFD)
	if err != nil {
		return nil, err
	}
	byName := map[string]*libbpf.MapInfo{}
	for _, id := range info.MapIDs {
		fd, err := libbpf.MapByID(id)
		if errors.Is(err, syscall.ENOENT) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m, err := libbpf.MapInfoByFD(fd.Int())
		fd.Close()
		if err != nil {
			return nil, err
		}
		if _, twice := byName[m.Name]; twice {
			byName[m.Name] = nil
		} else {
			byName[m.Name] = m
		}
	}
	return byName, nil
}
