// Command xdpmux-kube keeps the nodes of a cluster of Kubernetes as its XDPChain objects declare
// them: as node on each node, and as lead on a few of them.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"k8s.io/client-go/dynamic"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/xdpmux/xdpmux/dispatcher/agent/kube"
	"github.com/xdpmux/xdpmux/dispatcher/registry"
)

var version = "unknown" // set at build time

const usage = `usage: xdpmux-kube node [options]    keeps this node as its XDPNode says
       xdpmux-kube lead [options]    hands out what XDPChain objects declare

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "xdpmux-kube: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("xdpmux-kube", flag.ExitOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server; without it, as a pod does")
	hostname, _ := os.Hostname()
	name := flags.String("name", hostname, "the node's name, or what tells this leader from others")
	dir := flags.String("state", "/var/lib/xdpmux/fleet", "node: where is kept what it was handed")
	machine := flags.String("machine-id", "/etc/machine-id", "node: the file that tells this machine from others")
	prune := flags.Bool("prune", false, "node: remove programs of other tools from the interfaces that chains name")
	adopt := flags.Bool("adopt", false, "node: replace programs of other tools that have the name of one of a chain")
	namespace := flags.String("namespace", "xdpmux", "lead: where the Lease is")
	json := flags.Bool("json", false, "log as JSON")
	if len(args) == 0 || args[0] != "node" && args[0] != "lead" {
		flags.Usage()
		return fmt.Errorf("it is node or lead")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if *json {
		log = slog.New(slog.NewJSONHandler(os.Stderr, nil))
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = "xdpmux-kube/" + version
	if args[0] == "lead" {
		return lead(ctx, config, kube.LeadOptions{Namespace: *namespace, Identity: *name, Log: log})
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	id, err := os.ReadFile(*machine)
	if err != nil {
		return fmt.Errorf("nothing tells this machine from others: %w", err)
	}
	return kube.RunNode(ctx, kube.NodeOptions{Client: client, Name: *name, Machine: strings.TrimSpace(string(id)), Version: version, Dir: *dir,
		Prune: *prune, Adopt: *adopt, Fetch: new(registry.Client).Fetch, Log: log})
}

func lead(ctx context.Context, config *rest.Config, opts kube.LeadOptions) (err error) {
	config.QPS, config.Burst = 200, 400 // a step of a roll-out is one write for each of its nodes
	if opts.Client, err = dynamic.NewForConfig(config); err != nil {
		return err
	}
	if opts.Leases, err = coordination.NewForConfig(config); err != nil {
		return err
	}
	return kube.Lead(ctx, opts)
}
