package filter_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/xdpmux/xdpmux/dispatcher/filter"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
	"github.com/xdpmux/xdpmux/test/filters"
)

// What tcpdump keeps of a file is what Match takes.
func TestMatchAsTcpdump(t *testing.T) {
	frames := filters.Packets()
	pcap := filters.Pcap(t)
	some, none := 0, 0
	for _, words := range filters.All(t) {
		f, err := filter.Compile(words)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		var want strings.Builder
		taken := 0
		for i, frame := range frames {
			if f.Match(frame, len(frame)) {
				fmt.Fprintln(&want, i)
				taken++
			}
		}
		lines, err := exec.Command("tcpdump", "-n", "-tt", "-q", "-r", pcap, "--", words).Output()
		if err != nil {
			t.Fatal(words, err)
		}
		var got strings.Builder
		for line := range strings.Lines(string(lines)) {
			if at, _, ok := strings.Cut(line, ".000000 "); ok {
				fmt.Fprintln(&got, at)
			}
		}
		if got.String() != want.String() {
			t.Errorf("%s: takes\n%sand tcpdump\n%s", words, want.String(), got.String())
		}
		if taken > 0 {
			some++
		}
		if taken < len(frames) {
			none++
		}
	}
	if n := len(filters.All(t)); some < n*3/4 || none < n*3/4 {
		t.Errorf("of %d filters %d take a packet and %d leave one: the packets tell little", n, some, none)
	}
}

func TestErrors(t *testing.T) {
	for words, want := range map[string]string{
		"tcp port 443 adn host 192.0.2.1":      `"adn", from character 14 on: it can't stand there`,
		"port 99999":                           `"99999", from character 6 on: illegal port number 99999 > 65535`,
		"not port 53 and host no-such.invalid": `"no-such.invalid", from character 22 on: unknown host 'no-such.invalid'`,
		"tcp host 192.0.2.1":                   `"host", from character 5 on: `,
		"(tcp or udp":                          ` ends too soon`,
		"tcp port":                             ` ends too soon`,
		"tcp[13":                               ` ends too soon`,
		"tcp or udp)":                          `")", from character 11 on: it can't stand there`,
		"len / 0 = 1":                          `division by zero`,
		"ether host 192.0.2.1":                 `"192.0.2.1", from character 12 on: illegal link layer address`,
		"net 192.0.2.1/24":                     `"192.0.2.1/24", from character 5 on: non-network bits set in "192.0.2.1/24"`,
		"port 1 é":                             `"é", from character 8 on: it can't stand there`,
		"é":                                    `"é", from character 1 on: it can't stand there`,
		"tcp and arp":                          `: no packet is like that`,
		"ip or inbound":                        `"inbound", from character 7 on: XDP knows nothing of a packet but its bytes and its length`,
		"ip6 protochain 6":                     `"protochain", from character 5 on: it makes a loop, which a filter in the kernel can't`,
		"tcp[tcpflags] & tcp-syn != 0 und port 1": `"und", from character 30 on: it can't stand there`,
	} {
		_, err := filter.Compile(words)
		var where *filter.Error
		if !errors.Is(err, xdp.ErrInvalid) || !errors.As(err, &where) || !strings.HasPrefix(err.Error(), fmt.Sprintf("filter %q", words)) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", words, err, want)
		}
	}
}
