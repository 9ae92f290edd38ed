// Command xdpmux-kube keeps the nodes of a cluster of Kubernetes as its XDPChain objects declare
// them: as node on each node, and as lead on a few of them.
//
// It is a module of its own, because client-go alone takes longer to compile than all of xdpmux.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/tools/clientcmd"

	"github.com/xdpmux/xdpmux/cmd/internal/agentweb"
	"github.com/xdpmux/xdpmux/cmd/internal/output"
	"github.com/xdpmux/xdpmux/cmd/internal/web"
)

const usage = `usage: xdpmux-kube node [options]    keeps this node as its XDPNode says
       xdpmux-kube lead [options]    hands out what XDPChain objects declare
       xdpmux-kube --version

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "xdpmux-kube: %v\n", err)
		os.Exit(1)
	}
}

// options are those of both, and of one of them.
type options struct {
	kubeconfig, name, listen string
	json                     bool

	dir, machine string // node
	prune, adopt bool
	count        string

	namespace string // lead
}

func run(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("xdpmux-kube", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	hostname, _ := os.Hostname()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server; without it, as a pod does")
	flags.StringVar(&o.name, "name", hostname, "the node's name, or what tells this leader from others")
	flags.StringVar(&o.listen, "listen", "", "serve /metrics, /healthz, /readyz, and on a node a page, at `ADDRESS`, such as 127.0.0.1:9436; without a host on loopback only")
	flags.BoolVar(&o.json, "json", false, "log as JSON")
	flags.StringVar(&o.dir, "state", "/var/lib/xdpmux/fleet", "node: where is kept what it was handed")
	flags.StringVar(&o.machine, "machine-id", "/etc/machine-id", "node: the file that tells this machine from others")
	flags.BoolVar(&o.prune, "prune", false, "node: remove programs of other tools from the interfaces that chains name")
	flags.BoolVar(&o.adopt, "adopt", false, "node: replace programs of other tools that have the name of one of a chain")
	flags.StringVar(&o.count, "count", "packets", "node: with --listen, `WHAT` to count while somebody looks: packets, which takes a little time of each packet, or nothing")
	flags.StringVar(&o.namespace, "namespace", "xdpmux", "lead: where the Lease is")
	if len(args) > 0 && (args[0] == "--version" || args[0] == "-version") {
		fmt.Println("xdpmux-kube", output.Version())
		return nil
	}
	if len(args) == 0 || args[0] != "node" && args[0] != "lead" {
		flags.Usage()
		return fmt.Errorf("it is node or lead")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if o.count != "packets" && o.count != "nothing" {
		return fmt.Errorf("--count %q is neither packets nor nothing", o.count)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%s takes no argument, and %q is one", args[0], flags.Arg(0))
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if o.json {
		log = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	}
	countRequests()
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = "xdpmux-kube/" + output.Version()
	if args[0] == "lead" {
		return o.lead(ctx, config, log)
	}
	return o.node(ctx, config, log)
}

// serve serves what mux does, where --listen asks for it. try is to be called now and then until it
// has begun; close ends it.
func (o options) serve(log *slog.Logger, mux *http.ServeMux) (try, close func(), err error) {
	if o.listen == "" {
		return func() {}, func() {}, nil
	}
	address, err := web.Address(o.listen)
	if err != nil {
		return nil, nil, err
	}
	s := agentweb.NewServer(address, log, mux)
	s.Try()
	return s.Try, s.Close, nil
}
