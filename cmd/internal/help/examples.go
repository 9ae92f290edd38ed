package help

import "github.com/urfave/cli/v2"

// Example is a call, and what it is for.
type Example struct{ Call, What string }

// Examples are the examples of each command, by its name. --help and the man page show
// them.
var Examples = map[string][]Example{
	"load": {
		{"xdpmux load eth0 filter.o", "add a program to what runs on eth0"},
		{"xdpmux load eth0 count.o filter.o@prio=10,name=xdp_main", "two in one step, the second with settings of its own"},
		{"xdpmux load eth0 oci://quay.io/me/filter:v1@prio=10", "from an image in a registry"},
		{"xdpmux load eth0,eth1 filter.o -P 5 -A PASS,DROP", "on two interfaces, with one set of maps"},
		{"xdpmux load eth0 filter.o --confirm 60s", "and take it back if nobody says that all is well"},
		{"xdpmux load eth0 filter.o --guard ./still-reachable.sh", "and take it back as soon as this fails"},
		{"xdpmux load --adopt old.o@prio=90 eth0 filter.o", "beside what runs there without a dispatcher, and was loaded from old.o"},
	},
	"confirm": {
		{"xdpmux confirm", "keep the only change that waits for it"},
		{"xdpmux confirm eth0 --json", "that of eth0, for scripts"},
	},
	"revert": {
		{"xdpmux revert eth0", "put back what ran before, at once"},
	},
	"unload": {
		{"xdpmux unload eth0 --name xdp_main", "take one program out of the chain"},
		{"xdpmux unload --all eth0 eth1", "take everything off two interfaces"},
	},
	"replace": {
		{"xdpmux replace eth0 --name xdp_main filter2.o --keep-maps", "a new version goes on with the counters of the old one"},
		{"xdpmux replace eth0 -i 42 filter2.o@prio=7", "and moves to another place"},
		{"xdpmux replace eth0 -i 42 filter2.o --dry-run --pcap traffic.pcapng", "what would it do to these packets?"},
	},
	"set": {
		{"xdpmux set eth0 --name xdp_main -P 5", "have the program run earlier"},
		{"xdpmux set eth0 -i 42 -A PASS,TX", "have others run after its XDP_PASS and XDP_TX"},
	},
	"upgrade": {
		{"xdpmux upgrade eth0", "have the native tools of this host share the chain again"},
		{"xdpmux upgrade eth0 --to 3 --dry-run", "would it run in a dispatcher of libxdp 1.6?"},
	},
	"status": {
		{"xdpmux status", "what runs where"},
		{"xdpmux status eth0 --watch -i 5", "look again each 5 seconds"},
		{"xdpmux status --json eth0 | jq '.[].programs[].id'", "for scripts"},
	},
	"clean": {
		{"xdpmux clean --dry-run", "list what vanished interfaces left behind"},
		{"xdpmux clean --json", "remove it, and say what it was, for scripts"},
	},
	"features": {
		{"xdpmux features eth0", "does the driver do XDP_REDIRECT?"},
		{"xdpmux features --json eth0 | jq .rx_metadata", "which metadata of packets can a program ask it for?"},
	},
	"inspect": {
		{"xdpmux inspect filter.o", "what is in the file, and would it load?"},
	},
	"image build": {
		{"xdpmux image build -o image filter.o", "an image of an object, in the directory image"},
		{"xdpmux image build -o image filter.o filter-be.o", "for both byte orders"},
	},
	"image push": {
		{"xdpmux image push image oci://quay.io/me/filter:v1", "put it into a registry"},
	},
	"image pull": {
		{"xdpmux image pull oci://quay.io/me/filter:v1 --verify-key cosign.pub", "fetch it, if it is signed"},
	},
	"image inspect": {
		{"xdpmux image inspect oci://quay.io/me/filter:v1", "what does the tag stand for?"},
	},
	"map list": {
		{"xdpmux map list eth0", "which maps are there, and who uses them"},
	},
	"map dump": {
		{"xdpmux map dump eth0 rxcnt --watch", "see counters grow"},
		{"xdpmux map dump eth0 blocked --key 192.0.2.7", "is this address in it?"},
	},
	"map update": {
		{"xdpmux map update eth0 blocked --key 192.0.2.7 --value 1", "put an address into a filter that runs"},
		{"xdpmux map update eth0 tx_ports --key 0 --value eth1", "send what a program redirects to port 0 out of eth1"},
	},
	"map delete": {
		{"xdpmux map delete eth0 blocked --key 192.0.2.7", "and take it out again"},
	},
	"run": {
		{"xdpmux run eth0 count.o -i 5", "try a program until Ctrl-C, with a line each 5 seconds"},
	},
	"plan": {
		{"xdpmux plan -f /etc/xdpmux", "what would apply change?"},
		{"xdpmux plan -f /etc/xdpmux --pcap traffic.pcapng", "and which of these packets would meet something else?"},
		{"xdpmux plan -f /etc/xdpmux --live 10s", "and which of those that come in now?"},
	},
	"apply": {
		{"xdpmux apply -f state.yaml", "make it so"},
		{"xdpmux apply -f state.yaml --confirm 60s", "for a minute, unless Enter says that all is well"},
	},
	"export": {
		{"xdpmux export eth0 >state.yaml", "write down what apply has put there"},
		{"xdpmux export --bundle firewall eth0", "with the object files, for another machine"},
	},
	"convert": {
		{"xdpmux convert -f app.yaml | kubectl apply -f -", "run on a cluster what was written for bpfman"},
		{"xdpmux convert --as state --primary eth0 -f app.yaml >state.yaml", "or on this machine"},
	},
	"history": {
		{"xdpmux history eth0", "who changed what on eth0, the newest first"},
		{"xdpmux history --json | jq '.[] | select(.outcome == \"failed\")'", "for scripts"},
	},
	"undo": {
		{"xdpmux undo eth0", "bring back what ran before the last change"},
		{"xdpmux undo eth0 --to 12 --dry-run", "what would run as before change 12 of the history?"},
		{"xdpmux undo eth0 --restore-maps", "with what the maps held that are gone"},
	},
	"check": {
		{"xdpmux check eth0", "can this machine run a chain on eth0?"},
	},
	"completion": {
		{`eval "$(xdpmux completion bash)"`, "for this shell"},
	},
	"agent": {
		{"xdpmux agent --state /etc/xdpmux", "keep the machine as these files declare it"},
		{"xdpmux agent --drift report --listen 127.0.0.1:9436", "mend nothing, and show browsers and Prometheus what has drifted"},
	},
	"stats": {
		{"xdpmux stats eth0", "who drops how many, each second"},
		{"xdpmux stats eth0 eth1 -i 10 -c 6 --json", "a minute for a script"},
		{"xdpmux stats --listen 127.0.0.1:9435", "all interfaces, for Prometheus, and a page with pictures"},
		{"xdpmux stats eth0 --svg eth0.svg", "the chain as a picture, with what a second counts"},
	},
	"top": {
		{"xdpmux top", "all interfaces, full screen"},
	},
	"trace": {
		{"xdpmux trace eth0 --verdict DROP -c 10", "ten packets that were dropped, and by whom"},
		{"xdpmux trace eth0 --at programs -w - | tshark -i -", "packets before and after each program"},
		{"xdpmux trace eth0 --pcap packets.pcap", "what would the chain do to these?"},
	},
	"test": {
		{"xdpmux test -f state.yaml cases.yaml", "does the chain do to these packets what it should?"},
		{"xdpmux test -f state.yaml --junit cases.yaml >results.xml", "for continuous integration"},
	},
	"help": {
		{"xdpmux help map dump", "the options of map dump"},
	},
}

// ExamplesOf are the examples of a command, or of those below it.
func ExamplesOf(command *cli.Command) []Example {
	all := Examples[FullName(command)]
	for _, sub := range command.Subcommands {
		all = append(all, ExamplesOf(sub)...)
	}
	return all
}
