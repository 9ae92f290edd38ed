package main

import (
	"fmt"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"github.com/xdpmux/xdpmux/cmd/internal/agentweb"
	"github.com/xdpmux/xdpmux/dispatcher/agent"
)

// manager is what started the process, if that wants to be told how it is doing: systemd, by the
// words of sd_notify(3).
var manager systemd

type systemd struct{}

func (systemd) tell(text string) { _, _ = daemon.SdNotify(false, text) }

func (m systemd) ready() { m.tell(daemon.SdNotifyReady) }

func (m systemd) stopping() { m.tell(daemon.SdNotifyStopping) }

func (m systemd) alive() { m.tell(daemon.SdNotifyWatchdog) }

// reloading says when a reload has begun, which Type=notify-reload asks for.
func (m systemd) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	m.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// interval is how often alive is to be called: four times in what systemd waits for it
// (WatchdogSec=), as a change of many interfaces takes its time.
func (systemd) interval() time.Duration {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return lookEvery
	}
	return limit / 4
}

// status is the line that systemctl status shows.
func (m systemd) status(s agent.Status, at *agentweb.Server) {
	text := fmt.Sprintf("%d interfaces, %d as declared", len(s.Interfaces), s.Count(agent.AsDeclared))
	for _, c := range []agent.Condition{agent.Drifted, agent.Trying, agent.TakenBack, agent.Failed, agent.Waiting} {
		if n := s.Count(c); n > 0 {
			text += fmt.Sprintf(", %d %s", n, c)
		}
	}
	if n := len(s.Broken); n > 0 {
		text += fmt.Sprintf("; %d files can't be used", n)
	}
	if s.Unread != nil {
		text += "; the files can't be read"
	}
	if s.Unwritten != nil || s.Untold != nil {
		text += "; not all of it can be written down"
	}
	if at != nil && at.Waits() != "" {
		text += "; nothing is served: " + at.Waits()
	}
	m.tell("STATUS=" + text)
}
