package xdp

import "fmt"

// Loaded is a program in the kernel.
type Loaded struct {
	ID   uint32 `json:"id"`
	Name string `json:"name"`
	Tag  string `json:"tag"` // the hash of its instructions, 16 hexadecimal digits
}

// String is "program 12 (xdp_pass)".
func (p Loaded) String() string {
	if p.Name == "" {
		return fmt.Sprintf("program %d", p.ID)
	}
	return fmt.Sprintf("program %d (%s)", p.ID, p.Name)
}
