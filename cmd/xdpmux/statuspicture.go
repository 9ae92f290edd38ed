package main

import (
	"bytes"
	"fmt"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/picture"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// drawStatus draws the chains into a file.
func drawStatus(out *output.Printer, chains []*dispatcher.Chain, name string, force bool) error {
	drawn := make([]picture.Chain, len(chains))
	for i, c := range chains {
		drawn[i] = pictureOf(c)
	}
	var b bytes.Buffer
	if err := picture.Write(&b, "XDP chains", drawn); err != nil {
		return err
	}
	return out.WriteFile(name, b.Bytes(), force)
}

func pictureOf(c *dispatcher.Chain) picture.Chain {
	drawn := picture.Chain{Interface: output.Shown(c.Interface.Name)}
	if c.Mode != nil {
		drawn.Note = c.Mode.String()
	}
	if c.Dispatcher != nil {
		drawn.Note += fmt.Sprintf(", dispatcher id %d", c.Dispatcher.ID)
	}
	if c.Err != nil {
		drawn.Note = "can't be read: " + output.Shown(c.Err.Error())
	}
	for _, p := range c.Programs {
		drawn.Programs = append(drawn.Programs, picture.Program{Name: output.Shown(p.Name),
			Note: fmt.Sprintf("priority %d, id %d", p.Priority, p.ID), Passes: p.Actions.String()})
	}
	lone := func(p *xdp.Loaded, role string) {
		if p != nil {
			drawn.Programs = append(drawn.Programs, picture.Program{Name: output.Shown(p.Name), Note: fmt.Sprintf("%s, id %d", role, p.ID)})
		}
	}
	lone(c.Legacy, "no dispatcher")
	lone(c.Hardware, "on the device")
	return drawn
}
