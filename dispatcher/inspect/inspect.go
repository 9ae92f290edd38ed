package inspect

import (
	"context"
	"fmt"

	"github.com/xdpmux/xdpmux/cgo/libbpf"
	"github.com/xdpmux/xdpmux/dispatcher/internal/object"
	"github.com/xdpmux/xdpmux/dispatcher/value"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Object is what an object file holds.
type Object struct {
	File     string          `json:"file"`
	License  string          `json:"license"` // empty: none is given
	BTF      bool            `json:"btf"`     // type information; what it lacks for a chain is made up when it is loaded
	Programs []ObjectProgram `json:"programs"`
	Maps     []ObjectMap     `json:"maps"`
}

// ObjectProgram is a program of an object file.
type ObjectProgram struct {
	Section      string      `json:"section"`
	Name         string      `json:"name"`
	Type         string      `json:"type"`         // libbpf's word, "unspec" for a section it doesn't know
	Instructions int         `json:"instructions"` // before relocation
	Priority     uint32      `json:"priority"`     // run priority; the loader may be told another
	Actions      xdp.Actions `json:"actions"`      // chain call actions; the loader may be told others
	Frags        bool        `json:"frags"`        // takes packets of several buffers

	// CalledBy are the slots of program arrays by which other programs of the file call it.
	CalledBy []Slot `json:"called_by,omitempty"`

	// Metadata are the functions by which it asks the driver for metadata of packets. Such a
	// program is bound to its device, and its chain with it.
	Metadata []string `json:"metadata,omitempty"`

	// First is the program that is loaded from the file unless another is named.
	First bool `json:"-"`

	// Chain says whether the program would load into a chain, as far as the file tells.
	// Only a kernel knows what the verifier says. Note is why the program would not load.
	Chain bool   `json:"chain"`
	Note  string `json:"note,omitempty"`
}

// Slot is an entry of a program array (BPF_MAP_TYPE_PROG_ARRAY).
type Slot struct {
	Map  string `json:"map"`
	Slot uint32 `json:"slot"`
}

// XDP says whether the program could be loaded as an XDP program. It is in a section for such
// programs, or in one whose name libbpf doesn't know.
func (p ObjectProgram) XDP() bool {
	return p.Type == libbpf.ProgTypeXDP.String() || p.Type == libbpf.ProgTypeUnspec.String()
}

// ObjectMap is a map of an object file. libbpf's maps for global variables are among them.
type ObjectMap struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	KeySize    int    `json:"key_size"`
	ValueSize  int    `json:"value_size"`
	MaxEntries int    `json:"max_entries"`
	Pinning    string `json:"pinning"` // "by name" or "none"
	Numeric    bool   `json:"numeric"` // each value is one number, as a counter is
}

// Open reads an object file. Errors: [xdp.ErrObject], also for a file without programs.
// It stands for bpf_object__open_mem.
func Open(file string) (*Object, error) {
	data, err := object.ReadFile(context.Background(), file)
	if err != nil {
		return nil, err
	}
	return Read(file, data)
}

// Read is Open for a file that has been read already. file is only its name in errors and in the
// result.
func Read(file string, data []byte) (*Object, error) {
	obj, err := object.OpenFile(file, data, libbpf.OpenOptions{})
	if err != nil {
		return nil, err
	}
	defer obj.Close()
	btf := obj.BTF()
	o := &Object{File: file, License: obj.File.License(), BTF: obj.HadBTF, Programs: []ObjectProgram{}, Maps: []ObjectMap{}}
	fault := "" // of the maps, which no program can be loaded without
	for _, m := range obj.Maps() {
		if size := object.SizeFault(m); size != "" && fault == "" {
			fault = fmt.Sprintf("map %q %s", m.Name(), size)
		}
	}
	if err := obj.CheckTailCalls(file); err != nil && fault == "" {
		fault = err.Error()
	}
	all := obj.Programs()
	first, err := obj.Pick(xdp.Program{File: file}, all)
	if len(all) == 0 {
		return nil, err
	}
	for _, p := range all {
		r := programOf(file, obj, p)
		if r.Chain && fault != "" {
			r.Chain, r.Note = false, fault
		}
		r.First = p == first
		o.Programs = append(o.Programs, r)
	}
	for _, m := range obj.Maps() {
		o.Maps = append(o.Maps, inspectMap(m, btf))
	}
	return o, nil
}

// programOf is what an object file says of a program.
func programOf(file string, obj *object.File, p *libbpf.Program) (r ObjectProgram) {
	r = ObjectProgram{Section: p.Section(), Name: p.Name(), Type: p.Type().String(), Instructions: p.Insns()}
	for _, s := range obj.SlotsOf(r.Name) {
		r.CalledBy = append(r.CalledBy, Slot{s.Map, s.Slot})
	}
	if !r.XDP() {
		r.Note = fmt.Sprintf("not an XDP program but %s", r.Type)
		return r
	}
	r.Frags = object.WantsFrags(p)
	r.Metadata = object.MetadataCalls(obj.File, p.Name())
	var err error
	if r.Priority, r.Actions, err = obj.Place(file, p.Name()); err != nil {
		r.Note = err.Error()
		return r
	}
	r.Note = object.ChainFault(obj, p)
	r.Chain = r.Note == ""
	return r
}

func inspectMap(m *libbpf.Map, btf *libbpf.BTF) ObjectMap {
	r := ObjectMap{Name: m.Name(), Type: m.Type().String(), KeySize: m.KeySize(), ValueSize: m.ValueSize(), MaxEntries: m.MaxEntries(), Pinning: "none"}
	if m.PinPath() != "" {
		r.Pinning = "by name"
	}
	if btf != nil && !m.Internal() && m.BTFValueTypeID() != 0 {
		l, err := value.FromBTF(btf, m.BTFValueTypeID())
		r.Numeric = err == nil && l.Numeric()
	}
	return r
}
