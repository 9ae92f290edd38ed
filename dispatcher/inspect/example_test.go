package inspect_test

import (
	"fmt"
	"log"

	"github.com/xdpmux/xdpmux/dispatcher/inspect"
)

// Which programs of a file can join a chain, and why can't the others?
func ExampleOpen() {
	object, err := inspect.Open("filter.o")
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range object.Programs {
		fmt.Println(p.Name, p.Chain, p.Note)
	}
}
