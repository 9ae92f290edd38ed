package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// manyMembers is how many programs the chain of each interface has.
const manyMembers = 3

// manyObjects are their objects.
var manyObjects = []string{"build/bpf/xdp_count.o", "build/bpf/xdp_drop_ipv6.o", passObject}

// nativeMany is up to how many interfaces the native tool is called: it takes one a call.
const nativeMany = 100

// many measures what chains on many interfaces take, and the kernel's share of it. Each part has no other
// interfaces than its own.
func many(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "\n%s", machine())
	for _, part := range []func(context.Context, io.Writer) error{manyInterfaces, comingInterfaces, kernelAlone} {
		if err := inNetns(func() error { return part(ctx, w) }); err != nil {
			return err
		}
	}
	return nil
}

// manyInterfaces measures changes of many chains, as they become more.
func manyInterfaces(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "\n## Chains of %d on many interfaces\n\n"+
		"One call of xdpmux, and one of xdp-loader for each interface. `apply` changes the order of two programs in each chain.\n\n"+
		"| interfaces | load by xdp-loader | by xdpmux | ratio | apply | unload -a by xdp-loader | by xdpmux | ratio |\n"+
		"|---:|---:|---:|---:|---:|---:|---:|---:|\n", manyMembers)
	var names []string
	for _, n := range []int{10, 100, 1000} {
		progress("chains on %d interfaces", n)
		for i := len(names); i < n; i++ {
			names = append(names, fmt.Sprintf("m%d", i))
			if err := addPair(ctx, names[i]); err != nil {
				return err
			}
		}
		if err := chainsOnMany(ctx, w, names); err != nil {
			return err
		}
	}
	return nil
}

func chainsOnMany(ctx context.Context, w io.Writer, names []string) error {
	each := func(args func(name string) []string) (took time.Duration, err error) {
		for _, name := range names {
			d, _, err := measure(ctx, native, args(name)...)
			if err != nil {
				return 0, err
			}
			took += d
		}
		return took, nil
	}
	var load, unload time.Duration
	if len(names) <= nativeMany {
		var err error
		if load, err = each(func(name string) []string { return append([]string{"load", name}, manyObjects...) }); err != nil {
			return err
		}
		if unload, err = each(func(name string) []string { return []string{"unload", name, "-a"} }); err != nil {
			return err
		}
	}
	list := strings.Join(names, ",")
	ourLoad, _, err := measure(ctx, ours, append([]string{"load", list}, manyObjects...)...)
	if err != nil {
		return err
	}
	ourApply, err := applyToMany(ctx)
	if err != nil {
		return err
	}
	ourUnload, _, err := measure(ctx, ours, "unload", "-a", list)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "| %d | %s | %s | %s | %s | %s | %s | %s |\n", len(names),
		orNone(load, ms(load)), ms(ourLoad), orNone(load, ratio(ourLoad, load)), ms(ourApply),
		orNone(unload, ms(unload)), ms(ourUnload), orNone(unload, ratio(ourUnload, unload)))
	return nil
}

// applyToMany has apply put the last program of each chain before the others.
func applyToMany(ctx context.Context) (time.Duration, error) {
	dir, err := os.MkdirTemp("", "xdpmux-bench")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "state.yaml")
	if err := declareMany(file, "m*[0-9]", 50, 50, 50); err != nil { // as they run: it takes them over
		return 0, err
	}
	if err := do(ctx, ours, "apply", "-f", file); err != nil {
		return 0, err
	}
	if err := declareMany(file, "m*[0-9]", 50, 50, 10); err != nil {
		return 0, err
	}
	took, _, err := measure(ctx, ours, "apply", "-f", file)
	return took, err
}

// declareMany writes a state file that wants manyObjects on all interfaces of a pattern.
func declareMany(file, pattern string, priorities ...int) error {
	var s strings.Builder
	fmt.Fprintf(&s, "interfaces:\n  - name: %q\n    programs:\n", pattern)
	for i, o := range manyObjects {
		path, err := filepath.Abs(o)
		if err != nil {
			return err
		}
		fmt.Fprintf(&s, "      - name: p%d\n        object: %s\n        priority: %d\n", i, path, priorities[i])
	}
	return os.WriteFile(file, []byte(s.String()), 0o600)
}

// orNone is text, or a dash where nothing was measured.
func orNone(d time.Duration, text string) string {
	if d == 0 {
		return "–"
	}
	return text
}

func ratio(us, them time.Duration) string { return fmt.Sprintf("%.2f", float64(us)/float64(them)) }
