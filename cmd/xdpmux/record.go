package main

import (
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/desired"
)

// record keeps what programs are loaded from, right before the chain is changed, so that
// export can say it. A chain that can't be recorded is changed all the same.
func record(out *output.Printer) func([]dispatcher.Coming) error {
	return func(coming []dispatcher.Coming) error {
		if err := desired.Record(coming); err != nil {
			out.Warn("export will not know what is loaded now: %v", err)
		}
		return nil
	}
}
