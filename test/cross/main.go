// Command cross runs a command in an environment in which go and pkg-config work for another
// architecture, whose libraries it fetches once:
//
//	go run ./test/cross arm64 go build ./cmd/xdpmux
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"github.com/xdpmux/xdpmux/test/debian"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: cross ARCHITECTURE COMMAND [ARGUMENT]...")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1], os.Args[2:])
	stop()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(1) // the command has said why
	case err != nil:
		fmt.Fprintln(os.Stderr, "cross:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arch string, command []string) error {
	if debian.Triplets[arch] == "" {
		return fmt.Errorf("%s is not an architecture that can be built for here: amd64 and arm64 are", arch)
	}
	for _, tool := range []string{"clang", "ld.lld", "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is missing (make deps)", tool)
		}
	}
	root, err := debian.Root(ctx, arch, os.Stderr)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), debian.CrossEnv(root, arch)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
