package main

import (
	"fmt"
	"strings"

	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// chooseMap picks a map of an interface's programs by its name, or, if that is empty, by its
// id. Errors: [xdp.ErrNoMap], which lists the maps there are, and [xdp.ErrInvalid] if
// several have the name.
func chooseMap(used []maps.Used, ifname, name string, id uint32) (*maps.Used, error) {
	var there []string
	var found, exact []*maps.Used
	for i, m := range used {
		there = append(there, fmt.Sprintf("%s (id %d)", m.Name, m.ID))
		// The kernel may have cut either of the two names.
		cut := len(m.Name) <= keptName || len(name) <= keptName
		switch {
		case name == "" && m.ID == id, name != "" && m.Name == name:
			exact = append(exact, &used[i])
		case name != "" && cut && shortName(m.Name) == shortName(name):
			found = append(found, &used[i])
		}
	}
	if len(exact) > 0 {
		found = exact
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		var ids []string
		for _, m := range found {
			ids = append(ids, fmt.Sprintf("%d (of %s)", m.ID, m.Programs[0].Name))
		}
		return nil, &xdp.Error{Kind: xdp.ErrInvalid,
			Msg:    fmt.Sprintf("%d maps on %s have the name %q", len(found), ifname, name),
			Remedy: "choose one with --id: " + strings.Join(ids, ", ")}
	case name == "":
		return nil, noMapOn(fmt.Sprintf("no program on %s uses a map with id %d", ifname, id), there)
	}
	return nil, noMapOn(fmt.Sprintf("no program on %s uses a map %q", ifname, name), there)
}

// noMapOn lists what there is instead.
func noMapOn(msg string, there []string) error {
	e := &xdp.Error{Kind: xdp.ErrNoMap, Msg: msg, Remedy: "there is no map at all"}
	if len(there) > 0 {
		e.Remedy = "its maps: " + strings.Join(there, ", ")
	}
	return e
}

// keptName is how many bytes of a map's name the kernel keeps (BPF_OBJ_NAME_LEN less the
// terminating zero).
const keptName = 15

func shortName(name string) string { return name[:min(len(name), keptName)] }
