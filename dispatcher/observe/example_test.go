package observe_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/xdpmux/xdpmux/dispatcher/observe"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// What each program of eth0 has dropped is printed once a second.
func Example() {
	o, err := observe.Open(context.Background(), []string{"eth0"}, observe.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer o.Close()
	for range time.Tick(time.Second) {
		for _, chain := range o.Read().Chains {
			for _, p := range chain.Programs {
				fmt.Println(p.Name, p.Packets, p.Verdicts[xdp.Drop])
			}
		}
	}
}

// The packets that a firewall drops are printed, with the program that decided.
func ExampleOpenLive() {
	ctx := context.Background()
	live, err := observe.OpenLive(ctx, []string{"eth0"}, observe.LiveOptions{Verdicts: []int{int(xdp.Drop)}})
	if err != nil {
		log.Fatal(err)
	}
	defer live.Close()
	for {
		trace, err := live.Next(ctx)
		if err != nil {
			log.Fatal(err)
		}
		for _, step := range trace.Steps {
			fmt.Print(step.Name, " ", step.Verdict, ", ")
		}
		fmt.Println(trace.Length, "bytes")
	}
}

// A packet goes through the chain of eth0 without the wire.
func ExampleOpenReplay() {
	replay, err := observe.OpenReplay(context.Background(), "eth0", observe.AtChain)
	if err != nil {
		log.Fatal(err)
	}
	defer replay.Close()
	trace, err := replay.Run(make([]byte, 64))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(trace.Verdict)
}
