package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/xdpmux/xdpmux/cmd/internal/cmdline"
	"github.com/xdpmux/xdpmux/dispatcher/image"
	"github.com/xdpmux/xdpmux/dispatcher/xdp"
)

const fileSpecUsage = "such as filter.o@prio=10,actions=XDP_PASS+XDP_DROP,name=xdp_main,section=xdp,pin=/sys/fs/bpf/filter"

// fileSettings are the keys of a file's settings, as completion offers them.
var fileSettings = []string{"prio", "actions", "name", "section", "pin"}

// parseFileSpec reads an object file with settings of its own, which win over those
// of the whole call:
//
//	filter.o@prio=10,actions=XDP_PASS+XDP_DROP
//
// If there is a file of that whole name, an @ in it belongs to the name.
func parseFileSpec(arg string, p xdp.Program) (xdp.Program, error) {
	p.File = arg
	at := strings.LastIndex(arg, "@")
	if at < 0 || image.Digest(arg) != "" {
		return p, nil
	}
	if _, err := os.Stat(arg); err == nil {
		return p, nil
	}
	p.File = arg[:at]
	for _, setting := range strings.Split(arg[at+1:], ",") {
		key, value, ok := strings.Cut(setting, "=")
		if !ok || value == "" {
			return p, cmdline.UsageError(fmt.Sprintf("%q in %q is no setting", setting, arg), fileSpecUsage)
		}
		switch key {
		case "prio":
			n, err := strconv.ParseUint(value, 0, 32)
			if err != nil {
				return p, cmdline.UsageError(fmt.Sprintf("priority %q in %q is not a number from 0 to 4294967295", value, arg), "")
			}
			p.Priority = xdp.Prio(uint32(n))
		case "actions":
			actions, err := xdp.ParseActions(strings.Split(value, "+")...)
			if err != nil {
				return p, err
			}
			p.Actions = &actions
		case "name":
			p.Name, p.Section = value, ""
		case "section":
			p.Section, p.Name = value, ""
		case "pin":
			p.PinPath = value
		default:
			return p, cmdline.UsageError(fmt.Sprintf("unknown setting %q in %q", key, arg), fileSpecUsage)
		}
	}
	return p, nil
}
