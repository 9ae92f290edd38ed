package dispatcher_test

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/maps"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// Load two programs in one step: both run, or neither.
func ExampleAttach() {
	ctx := context.Background()
	done, err := dispatcher.Attach(ctx, "eth0", []xdp.Program{
		{File: "filter.o", Priority: xdp.Prio(10)},
		{File: "count.o", Actions: xdp.On(xdp.Pass, xdp.Drop)},
	}, dispatcher.AttachOptions{RequireDispatcher: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range done.Programs {
		fmt.Println(p.ID, p.Name, p.Priority)
	}
}

//go:embed testdata/xdp_length.o
var length []byte // of bpf/samples/xdp_length.bpf.c

// Load a program that is embedded in this one. Its constants, its global variables and the
// size of its map are set before the verifier sees it.
func ExampleAttach_embedded() {
	done, err := dispatcher.Attach(context.Background(), "eth0", []xdp.Program{{
		Data:      length,
		Variables: map[string]any{"max_length": 1000, "step": 100},
		MapSizes:  map[string]uint32{"lengths": 11},
	}}, dispatcher.AttachOptions{})
	if err != nil {
		log.Fatal(err)
	}
	lengths, err := maps.Open(done.Programs[0].ID, "lengths")
	if err != nil {
		log.Fatal(err)
	}
	defer lengths.Close()
	short, err := maps.Lookup[uint64](lengths, uint32(0))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(short[0], "packets of less than 100 bytes")
}

// Tell a user what to do about an error, and a program what kind it is.
func ExampleError() {
	err := dispatcher.DetachAll(context.Background(), "eth0", dispatcher.DetachOptions{})
	if errors.Is(err, xdp.ErrNoProgram) {
		return // nothing to do
	}
	var e *xdp.Error
	if errors.As(err, &e) {
		log.Fatalf("%v (%s)", e, e.Remedy)
	}
}

// List what runs where.
func ExampleStatusAll() {
	chains, err := dispatcher.StatusAll(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range chains {
		for _, p := range c.Programs {
			fmt.Println(c.Interface.Name, p.Priority, p.Name, p.Actions)
		}
	}
}

// Take away the program that another process has loaded under a known name.
func ExampleDetach() {
	ctx := context.Background()
	chain, err := dispatcher.Status(ctx, "eth0")
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range chain.Programs {
		if p.Name == "xdp_filter" {
			if err := dispatcher.Detach(ctx, "eth0", p.ID, dispatcher.DetachOptions{}); err != nil {
				log.Fatal(err)
			}
		}
	}
}
