package main

import (
	"bytes"

	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/picture"
	"github.com/xdpmux/xdpmux/cmd/internal/rates"
)

// writePicture draws all chains of a report into a file.
func writePicture(out *output.Printer, s rates.Report, name string, force bool) error {
	chains := make([]picture.Chain, len(s.Chains))
	for i, c := range s.Chains {
		chains[i] = c.Picture()
	}
	var b bytes.Buffer
	if err := picture.Write(&b, "XDP chains at "+s.Time.Format("2006-01-02 15:04:05"), chains); err != nil {
		return err
	}
	return out.WriteFile(name, b.Bytes(), force)
}
