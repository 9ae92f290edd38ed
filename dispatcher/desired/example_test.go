package desired_test

import (
	"context"
	"fmt"
	"log"

	"github.com/xdpmux/xdpmux/dispatcher/desired"
)

// Interfaces run what the files of a directory say, and what was done is printed.
func Example() {
	ctx := context.Background()
	state, err := desired.Read(ctx, "/etc/xdpmux")
	if err != nil {
		log.Fatal(err)
	}
	plans, err := state.Apply(ctx, desired.Options{})
	if err != nil {
		log.Fatal(err)
	}
	for _, plan := range plans {
		for _, step := range plan.Steps {
			fmt.Println(plan.Interface.Name, step.Action, step.Name)
		}
		if plan.Err != nil {
			fmt.Println(plan.Interface.Name, "is as it was:", plan.Err)
		}
	}
}

// The state need not be in a file.
func ExampleState_Plan() {
	state := &desired.State{Interfaces: []desired.Interface{{
		Name:     "eth*",
		Programs: []desired.Program{{Name: "firewall", Object: "/usr/lib/xdp/firewall.o"}},
	}}}
	plans, err := state.Plan(context.Background(), desired.Options{Prune: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, plan := range plans {
		fmt.Println(plan.Interface.Name, "differs in", len(plan.Steps))
	}
}
