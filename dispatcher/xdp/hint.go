package xdp

import (
	"fmt"
	"strings"
)

// Hint is a part of a remedy that names something of this module. A program whose user
// has another name for it, such as an option or a command, says that instead: see
// [RemedyWith].
type Hint struct {
	To        HintTo
	Interface string // of HintAttach, HintAdopt, HintDetach, HintDetachAll, HintUpgrade, HintConfirm and HintTakeBack; empty: whichever is meant
	Mode      Mode   // of HintMode
}

// HintTo is what a hint names.
type HintTo int

// What hints name.
const (
	HintMode        HintTo = iota // dispatcher.AttachOptions.Mode
	HintSection                   // Program.Section
	HintName                      // Program.Name
	HintPinPath                   // Program.PinPath
	HintAttach                    // dispatcher.Attach
	HintAdopt                     // dispatcher.Transaction.Adopt
	HintDetach                    // dispatcher.Detach
	HintDetachAll                 // dispatcher.DetachAll
	HintUpgrade                   // dispatcher.Transaction.Version
	HintStatus                    // dispatcher.Status
	HintClean                     // dispatcher.Clean
	HintCheck                     // check.System
	HintLibxdpLog                 // what libxdp says: dispatcher.SetLog
	HintLibbpfLog                 // what libbpf says: dispatcher.SetLog
	HintVerifierLog               // dispatcher.VerifierLog
	HintCause                     // Error.Err
	HintConfirm                   // pending.Change.Confirm
	HintTakeBack                  // pending.Change.TakeBack
	HintPull                      // registry.Client.Fetch
	HintBuild                     // registry.Build
)

// hintWords are the words for each, before those for the interface.
var hintWords = [...]string{
	HintMode:        "mode",
	HintSection:     "the section",
	HintName:        "the name",
	HintPinPath:     "pin path",
	HintAttach:      "attach it",
	HintAdopt:       "adopt it",
	HintDetach:      "detach it by its id",
	HintDetachAll:   "detach everything",
	HintUpgrade:     "give it a dispatcher of another version",
	HintStatus:      "the status",
	HintClean:       "a clean-up",
	HintCheck:       "a check of the system",
	HintLibxdpLog:   "the log of libxdp says more",
	HintLibbpfLog:   "the log of libbpf says more",
	HintVerifierLog: "the log of the verifier says more",
	HintCause:       "the cause says more",
	HintConfirm:     "confirm it",
	HintTakeBack:    "take it back",
	HintPull:        "fetch the image again",
	HintBuild:       "build an image of an object for each byte order",
}

// String is the hint in words that fit any program.
func (h Hint) String() string {
	words := hintWords[h.To]
	switch {
	case h.To == HintMode:
		return h.Mode.String() + " " + words
	case h.Interface == "":
		return words
	case h.To == HintDetach, h.To == HintDetachAll:
		return words + " from " + h.Interface
	}
	return words + " on " + h.Interface
}

// Remedy formats a remedy as [fmt.Sprintf] does. hints are those of args.
func Remedy(format string, args ...any) (remedy string, hints []Hint) {
	for _, arg := range args {
		if h, ok := arg.(Hint); ok {
			hints = append(hints, h)
		}
	}
	return fmt.Sprintf(format, args...), hints
}

// Advise gives the error a remedy; see [Remedy].
func (e *Error) Advise(format string, args ...any) *Error {
	e.Remedy, e.Hints = Remedy(format, args...)
	return e
}

// RemedyWith is a remedy with the caller's own words for its hints.
func RemedyWith(remedy string, hints []Hint, own func(Hint) string) string {
	var b strings.Builder
	for _, h := range hints {
		if before, after, found := strings.Cut(remedy, h.String()); found {
			b.WriteString(before + own(h))
			remedy = after
		}
	}
	return b.String() + remedy
}
