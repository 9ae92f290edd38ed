package check_test

import (
	"context"
	"fmt"

	"github.com/xdpmux/xdpmux/dispatcher/check"
)

// Can this machine run chains, and what is to be done if not?
func ExampleSystem() {
	for _, c := range check.System(context.Background()) {
		if c.State != check.OK {
			fmt.Println(c.Name, c.State, c.Detail, c.Remedy)
		}
	}
}
