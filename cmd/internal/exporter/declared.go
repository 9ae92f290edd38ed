package exporter

import "github.com/xdpmux/xdpmux/cmd/internal/output"

// Declared is what somebody keeps declared, as the page shows it.
type Declared struct {
	Facts      []Fact   // of the whole, in their order
	Troubles   []string // of the whole, such as files that can't be used
	Interfaces []DeclaredInterface
}

// DeclaredInterface is how an interface is, beside how it should be.
type DeclaredInterface struct {
	Name      string
	Condition string // such as "as declared"
	Well      bool   // there is nothing to do about it
	Facts     []Fact
}

// Shown is the name as the page has it.
func (d DeclaredInterface) Shown() string { return output.Shown(d.Name) }

// Fact is something that is so, and what it is called.
type Fact struct{ Name, Value string }

// find is what is declared of an interface; nil: nothing.
func (d *Declared) find(name string) *DeclaredInterface {
	if d == nil {
		return nil
	}
	for i := range d.Interfaces {
		if d.Interfaces[i].Name == name {
			return &d.Interfaces[i]
		}
	}
	return nil
}
