package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// chained is how many of the interfaces have a program.
const chained = 20

// statusOfMany measures status with ever more interfaces.
func statusOfMany(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "\n## status of many interfaces\n\n%d of them have a program. Both print the same, byte for byte.\n\n![time against interfaces](%s)\n\n", chained, statusPicture)
	fmt.Fprintln(w, "| interfaces | xdp-loader | xdpmux | times faster | peak memory of xdpmux |\n|---:|---:|---:|---:|---:|")
	there := 0
	for _, n := range []int{10, 100, 500, 1000, 2000, 4000} {
		progress("status of %d interfaces", n)
		if err := addInterfaces(ctx, there, n); err != nil {
			return err
		}
		there = n
		runs := 3
		if n >= 1000 {
			runs = 1 // each takes long
		}
		us, said, err := best(ctx, 5, ours, "status")
		if err != nil {
			return err
		}
		them, saidNative, err := best(ctx, runs, native, "status")
		if err != nil {
			return err
		}
		if said != saidNative {
			return fmt.Errorf("with %d interfaces xdpmux says:\n%s\nand xdp-loader:\n%s", n, said, saidNative)
		}
		memory, err := peak(ctx, ours, "status")
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "| %d | %s | %s | %.0f | %.1f MiB |\n", n, ms(them), ms(us), float64(them)/float64(us), memory)
	}
	return nil
}

// best is the fastest of several runs: what disturbs only adds.
func best(ctx context.Context, runs int, name string, args ...string) (least time.Duration, out string, err error) {
	for i := range runs {
		var took time.Duration
		if took, out, err = measure(ctx, name, args...); err != nil {
			return 0, "", err
		}
		if i == 0 || took < least {
			least = took
		}
	}
	return least, out, nil
}

// addInterfaces makes veth pairs until there are n interfaces, and loads a program
// on the first ones.
func addInterfaces(ctx context.Context, there, n int) error {
	var batch strings.Builder
	for i := there / 2; i < n/2; i++ {
		fmt.Fprintf(&batch, "link add b%da type veth peer name b%db\n", i, i)
	}
	cmd := exec.CommandContext(ctx, "ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(batch.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make interfaces: %w\n%s", err, out)
	}
	for i := there / 2; i < min(n/2, chained); i++ {
		if err := do(ctx, ours, "load", "-m", "skb", fmt.Sprintf("b%da", i), passObject); err != nil {
			return err
		}
	}
	return nil
}
