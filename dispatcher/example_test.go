package dispatcher_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/xdpmux/xdpmux/dispatcher"
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

// Tell a user what to do about an error, and a program what kind it is.
func ExampleError() {
	err := dispatcher.DetachAll(context.Background(), "eth0")
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
			if err := dispatcher.Detach(ctx, "eth0", p.ID); err != nil {
				log.Fatal(err)
			}
		}
	}
}
