package observer

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/rehearse"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// RehearseCommand is what xdpmux starts xdpmux-observe with, once it knows what the change
// would be. Nobody else calls it.
func RehearseCommand(action cli.ActionFunc) *cli.Command {
	return &cli.Command{
		Name:      "rehearse",
		Hidden:    true,
		Usage:     "send packets through chains as they are and as changes would make them",
		ArgsUsage: "<file with the request>",
		Flags:     []cli.Flag{&cli.BoolFlag{Name: "json", Usage: cmdline.JSONUsage("what became of the packets")}},
		Action:    action,
	}
}

// Rehearsal asks what changes would do to packets.
type Rehearsal struct {
	Changes []Change
	Pcap    string        // where the packets are; - is standard input; empty: see Live
	Live    time.Duration // how long they are captured
	Out     string        // directory for packets that would meet something else; empty: none
	Force   bool          // replace files there
}

// Change is a change to the chain of one interface.
type Change struct {
	Interface  string
	Mode       xdp.Mode
	Add        []xdp.Program
	Remove     []uint32
	Replace    []dispatcher.Replacement
	Set        []dispatcher.Setting
	Adopt      *xdp.Program // what is loaded for the program that runs without a dispatcher
	Empty      bool         // take everything off
	LoadedFrom map[uint32]xdp.Program
}

// NewChange is a transaction on an interface.
func NewChange(ctx context.Context, ifname string, tx dispatcher.Transaction) (Change, error) {
	c := Change{Interface: ifname, Mode: tx.Mode, Add: tx.Add, Remove: tx.Remove, Replace: tx.Replace, Set: tx.Set, LoadedFrom: map[uint32]xdp.Program{}}
	if tx.Adopt == nil {
		return c, nil
	}
	chain, err := dispatcher.Status(ctx, ifname)
	if err != nil || chain.Legacy == nil {
		return c, err
	}
	from, err := tx.Adopt(*chain.Legacy)
	c.Adopt, c.LoadedFrom[chain.Legacy.ID] = &from, from
	return c, err
}

// Rehearse is the change as package rehearse takes it.
func (c Change) Rehearse() rehearse.Change {
	tx := dispatcher.Transaction{Mode: c.Mode, Add: c.Add, Remove: c.Remove, Replace: c.Replace, Set: c.Set}
	if c.Adopt != nil {
		tx.Adopt = func(xdp.Loaded) (xdp.Program, error) { return *c.Adopt, nil }
	}
	return rehearse.Change{Empty: c.Empty, LoadedFrom: c.LoadedFrom, Transaction: tx}
}

// Write writes a request.
func (r Rehearsal) Write(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// ReadRehearsal reads a request.
func ReadRehearsal(file string) (r Rehearsal, err error) {
	f, err := os.Open(file)
	if err != nil {
		return r, err
	}
	return r, errors.Join(json.NewDecoder(f).Decode(&r), f.Close())
}
