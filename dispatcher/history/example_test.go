package history_test

import (
	"context"
	"fmt"
	"log"

	"github.com/xdpmux/xdpmux/dispatcher"
	"github.com/xdpmux/xdpmux/dispatcher/history"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

// A program records what it changes, and then shows who has changed the chain.
func Example() {
	ctx := context.Background()
	programs := []xdp.Program{{File: "filter.o"}}
	recorder := history.NewRecorder(history.Options{})
	_, err := dispatcher.Attach(recorder.Context(ctx), "eth0", programs, dispatcher.AttachOptions{})
	recorder.End(err, "eth0")
	if err != nil {
		log.Fatal(err)
	}
	h, err := history.Read("", "eth0")
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range h.Records {
		fmt.Println(r.Number, r.Time, r.Outcome, r.Command)
	}
}
