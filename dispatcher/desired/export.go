package desired

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Stranger is a program that runs and that no state file can describe. Either nobody knows
// its object file, because another tool has loaded it, or a Go program has loaded it from
// memory.
type Stranger struct {
	Interface string
	Program   xdp.Loaded
}

// Export returns the state that runs now on these interfaces, or without names on all
// that have a chain. Priorities, actions and frags are those that the kernel knows. The
// rest is as it was when the program was loaded, by Apply or by hand. Strangers are not in
// the state, so applying it leaves them where they are.
func Export(ctx context.Context, ifnames ...string) (*State, []Stranger, error) {
	return export(ctx, defaultRecords, ifnames, func(run *running) (Program, error) { return run.record.Program, nil })
}

// export asks programOf what the state is to say of the source of a program.
func export(ctx context.Context, r records, ifnames []string, programOf func(*running) (Program, error)) (*State, []Stranger, error) {
	s := &State{Interfaces: []Interface{}}
	var strangers []Stranger
	named := len(ifnames) > 0
	if !named {
		var err error
		if ifnames, err = interfaceNames(); err != nil {
			return nil, nil, err
		}
	}
	seen := map[int]bool{} // an interface can be named twice, and has several names
	for _, name := range ifnames {
		chain, runs, err := runningOn(ctx, r, name)
		if errors.Is(err, xdp.ErrNoInterface) && !named {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, nil, err
		}
		if seen[chain.Interface.Index] {
			continue
		}
		seen[chain.Interface.Index] = true
		name = chain.Interface.Name
		if chain.Legacy != nil {
			strangers = append(strangers, Stranger{name, *chain.Legacy})
		}
		if chain.Dispatcher == nil && !named {
			continue
		}
		iface := Interface{Name: QuotePattern(name), Mode: chain.Mode, Programs: []Program{}}
		taken := map[string]bool{}
		for _, run := range runs {
			if run.applied() {
				taken[run.record.Program.Name] = true
			}
		}
		for _, run := range runs {
			if run.record == nil {
				strangers = append(strangers, Stranger{name, run.Loaded})
				continue
			}
			p, err := programOf(run)
			if err != nil {
				return nil, nil, err
			}
			if !run.applied() {
				p.Name = freeName(p.Name, taken)
			}
			place := run.place()
			p.Priority, p.Actions, p.Frags = &place.Priority, &place.Actions, &place.Frags
			iface.Programs = append(iface.Programs, p)
		}
		if err := sayable(iface); err != nil {
			return nil, nil, err
		}
		s.Interfaces = append(s.Interfaces, iface)
	}
	return s, strangers, nil
}

// sayable returns an error if a file can't hold the texts of an interface. To the kernel and
// to file systems they are bytes; a state file is UTF-8.
func sayable(i Interface) error {
	texts := []string{i.Name}
	for _, p := range i.Programs {
		texts = append(texts, p.Name, p.Object, p.Section, p.Program, p.PinPath)
		texts = slices.AppendSeq(texts, maps.Keys(p.Variables))
		for array, calls := range p.TailCalls {
			texts = append(texts, array)
			for _, c := range calls {
				texts = append(texts, c.Object, c.Program)
			}
		}
	}
	for _, text := range texts {
		if !utf8.ValidString(text) {
			return &xdp.Error{Kind: xdp.ErrInvalid, Msg: fmt.Sprintf("interface %s can't be exported: %q isn't UTF-8, and a state file is", i.Name, text),
				Remedy: "export the other interfaces by their names"}
		}
	}
	return nil
}

// freeName takes a name that no other program has. Programs that were loaded by hand have
// the names of their functions, and several can have the same.
func freeName(name string, taken map[string]bool) string {
	free := name
	for i := 2; taken[free]; i++ {
		free = fmt.Sprintf("%s-%d", name, i)
	}
	taken[free] = true
	return free
}
