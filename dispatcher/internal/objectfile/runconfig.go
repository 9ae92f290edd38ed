package objectfile

import (
	"fmt"
	"slices"
)

// RunConfig is what an object file says of a program's place in a chain, by a struct
// that XDP_RUN_CONFIG of xdp/xdp_helpers.h puts into a section for libxdp.
type RunConfig struct {
	Priority uint32
	Actions  uint32 // chain call actions: bit n stands for verdict n of enum xdp_action
}

// Where libxdp looks, and what holds without a configuration.
const (
	configSection   = ".xdp_run_config"
	defaultPriority = 50
	defaultActions  = 1 << 2 // XDP_PASS
)

// RunConfig reads the configuration of the program of that function. verdicts are the
// names of the chain call actions, in the kernel's order. It takes and refuses what
// libxdp does.
func (f *File) RunConfig(function string, verdicts []string) (RunConfig, error) {
	c := RunConfig{Priority: defaultPriority, Actions: defaultActions}
	config, ok := f.variable(configSection, "_"+function)
	if !ok {
		return c, nil
	}
	wrong := func(format string, args ...any) error {
		return &Error{Fault: ErrConfig, Detail: fmt.Sprintf("of program %q ", function) + fmt.Sprintf(format, args...)}
	}
	if config.kind != kindStruct {
		return c, wrong("is not a struct")
	}
	for m := range config.entries {
		name := stringAt(f.BTF.strings, m.name)
		verdict := slices.Index(verdicts, name)
		if name != "priority" && verdict < 0 {
			return c, wrong("has a member %q, which libxdp doesn't know", name)
		}
		n, ok := f.BTF.number(m.ref)
		if !ok {
			return c, wrong("has a member %q that is not made by __uint()", name)
		}
		switch {
		case verdict < 0:
			c.Priority = n
		case n != 0:
			c.Actions |= 1 << verdict
		default:
			c.Actions &^= 1 << verdict
		}
	}
	return c, nil
}

// variable is the type of a variable of a section.
func (f *File) variable(section, name string) (btfType, bool) {
	if f.BTF == nil {
		return btfType{}, false
	}
	for id := uint32(1); f.BTF.has(id); id++ {
		t := f.BTF.typeOf(id)
		if t.kind != kindDatasec || f.BTF.nameOf(t) != section {
			continue
		}
		for e := range t.entries {
			if v := f.BTF.typeOf(e.ref); v.kind == kindVar && f.BTF.nameOf(v) == name {
				return f.BTF.plain(v.size), true
			}
		}
	}
	return btfType{}, false
}

// plain is the type itself behind typedefs and modifiers.
func (b *BTF) plain(id uint32) btfType {
	for {
		switch t := b.typeOf(id); t.kind {
		case kindTypedef, kindVolatile, kindConst, kindRestrict, kindTypeTag:
			id = t.size
		default:
			return t
		}
	}
}

// number is what __uint() of bpf_helpers.h has put into a type: the length of the array
// that it points to.
func (b *BTF) number(id uint32) (uint32, bool) {
	pointer := b.plain(id)
	if pointer.kind != kindPtr {
		return 0, false
	}
	array := b.typeOf(pointer.size)
	if array.kind != kindArray {
		return 0, false
	}
	return order.Uint32(array.rest[8:]), true
}
