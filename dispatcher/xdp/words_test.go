package xdp

import (
	"encoding/json"
	"errors"
	"testing"
)

func TestModes(t *testing.T) {
	for _, name := range ModeNames() {
		m, err := ParseMode(name)
		if err != nil || m.String() != name {
			t.Errorf("%s: got %v, %v", name, m, err)
		}
	}
	for _, name := range []string{"", "Native", "drv", "skb "} {
		if m, err := ParseMode(name); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, %v", name, m, err)
		}
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct{ in, out, json string }{
		{"XDP_PASS", "XDP_PASS", `["XDP_PASS"]`},
		{"XDP_PASS,XDP_DROP", "XDP_DROP,XDP_PASS", `["XDP_DROP","XDP_PASS"]`},
		{"pass,DROP,xdp_tx", "XDP_DROP,XDP_PASS,XDP_TX", `["XDP_DROP","XDP_PASS","XDP_TX"]`},
		{"XDP_REDIRECT,XDP_TX,XDP_ABORTED", "XDP_ABORTED,XDP_TX,XDP_REDIRECT", `["XDP_ABORTED","XDP_TX","XDP_REDIRECT"]`},
	} {
		a, err := ParseActions(c.in)
		if err != nil || a.String() != c.out {
			t.Errorf("%s: got %v, %v", c.in, a, err)
		}
		text, err := json.Marshal(a)
		if err != nil || string(text) != c.json {
			t.Errorf("%s: got %s, %v", c.in, text, err)
		}
		var back Actions
		if err := json.Unmarshal(text, &back); err != nil || back != a {
			t.Errorf("%s: read back %v, %v", c.in, back, err)
		}
	}
	for _, in := range []string{"", "XDP_PASS,", "Pass", "XDP_pass", "XDP_", "PASS DROP", "XDP_PASS XDP_DROP"} {
		if a, err := ParseActions(in); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %v, %v", in, a, err)
		}
	}
}
