package desired

import (
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// State is what should run.
type State struct {
	Trial
	Interfaces []Interface `json:"interfaces"`

	where map[string]string // of the keys of Trial: "file:line:column"
}

// Interface is an interface and what should run on it. Interfaces that a State
// doesn't name are left alone.
type Interface struct {
	Name     string    `json:"name"`           // or a pattern, of path.Match
	Mode     *xdp.Mode `json:"mode,omitempty"` // nil: native
	Programs []Program `json:"programs,omitempty"`

	where string // "file:line:column"; empty if it is not from a file
}

// Program is a program that should run.
type Program struct {
	Name     string       `json:"name"`               // unique on each interface
	Object   string       `json:"object"`             // path of the object file, or an image: oci://REGISTRY/REPOSITORY:TAG
	Section  string       `json:"section,omitempty"`  // ELF section of the program; not together with Program
	Program  string       `json:"program,omitempty"`  // name of the function; default, without Section too: the first XDP program
	Priority *uint32      `json:"priority,omitempty"` // nil: what the object says, else 50
	Actions  *xdp.Actions `json:"actions,omitempty"`  // nil: what the object says, else XDP_PASS
	Frags    *bool        `json:"frags,omitempty"`    // nil: what the section's name says
	PinPath  string       `json:"pin-path,omitempty"` // directory on a bpffs for the maps that ask to be pinned by name

	// Maps are the initial contents of maps, by name. A map that is found at its
	// pin keeps what it holds.
	Maps map[string][]Entry `json:"maps,omitempty"`

	// MapSizes are the maximum numbers of entries of maps, by name, instead of those of
	// the object.
	MapSizes map[string]uint32 `json:"map-sizes,omitempty"`

	// Variables are values that global variables get before the load, by name, instead of
	// those of the object. Each is one as in an [Entry].
	Variables map[string]any `json:"variables,omitempty"`

	// TailCalls are programs that program arrays hold (BPF_MAP_TYPE_PROG_ARRAY), by the
	// arrays' names, beside those that the object puts there, or in their place.
	TailCalls map[string][]TailCall `json:"tail-calls,omitempty"`

	// VerifyKey is the public key by which the image has to be signed: the path of a file in PEM, or
	// what such a file holds. The same goes for the images of TailCalls.
	VerifyKey string `json:"verify-key,omitempty"`

	where   string
	fetched *Fetched // the image, once [State.Fetch] was called; nil: none
}

// TailCall is a program that an array's slot holds.
type TailCall struct {
	Slot    uint32 `json:"slot"`
	Object  string `json:"object,omitempty"`  // as for Program; default: that of the program that calls
	Program string `json:"program,omitempty"` // name of its function; default: the first XDP program of Object

	fetched *Fetched
}

// Entry is an entry of a map. Key and Value are each a whole number or a string; read from a
// file, a number is a [json.Number]. A string is an IP address or prefix, a MAC address, or
// bytes in hexadecimal.
type Entry struct {
	Key   any `json:"key"`
	Value any `json:"value"`
}
