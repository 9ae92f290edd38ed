package xdp

import "errors"

// Error is a failure in the user's words.
type Error struct {
	Kind   error  // one of the Err variables of this package, for errors.Is
	Msg    string // what is wrong
	Remedy string // what to do about it; empty where there is nothing to say
	Hints  []Hint // those of Remedy, in its order; see RemedyWith
	Err    error  // the failure behind it, such as that of a C call; may be nil
}

// Error is what is wrong, without the remedy.
func (e *Error) Error() string { return e.Msg }

// Unwrap gives the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// The kinds of failure that a caller may want to tell apart.
var (
	ErrInvalid          = errors.New("invalid argument")                  // the call contradicts itself or says what can't be
	ErrNoInterface      = errors.New("no such interface")                 // in this network namespace
	ErrNoProgram        = errors.New("no such program")                   // not on the interface
	ErrNoMap            = errors.New("no such map")                       // not used by the program or chain
	ErrNoEntry          = errors.New("no such entry")                     // in the map
	ErrObject           = errors.New("unusable object file")              // missing, no ELF, for another machine, without an XDP program
	ErrImage            = errors.New("unusable image")                    // not in the registry, or without an object
	ErrRegistry         = errors.New("registry out of reach")             // so that nobody knows what it has
	ErrSignature        = errors.New("image not signed")                  // or not by the key that is asked for
	ErrMapSize          = errors.New("unusable size of a map")            // it has none, or one that there is no memory for; Program.MapSizes gives another
	ErrVerifier         = errors.New("program refused by the verifier")   // dispatcher.VerifierLog has its words
	ErrChainFull        = errors.New("chain is full")                     // MaxPrograms run
	ErrModeMismatch     = errors.New("chain is attached in another mode") // two modes on one interface don't mix
	ErrVersion          = errors.New("chain of another version")          // of a dispatcher that xdpmux doesn't write
	ErrLegacy           = errors.New("legacy program in the way")         // attached without a dispatcher
	ErrNotSource        = errors.New("not the object of the program")     // that is to be loaded anew
	ErrLinkHeld         = errors.New("program held by a bpf_link")        // which alone can change it
	ErrNoDispatcher     = errors.New("no dispatcher possible")            // the kernel or the system can't run chains
	ErrModeNotSupported = errors.New("attach mode not supported")         // by the driver
	ErrBusy             = errors.New("chain is being changed by others")  // the race was lost too often
	ErrNativeLocked     = errors.New("native tools locked out")           // of the installed libxdp, for a program that changes packet data
	ErrPending          = errors.New("a change waits to be confirmed")    // on the interface, so that no other can be made
	ErrNotPending       = errors.New("no change waits to be confirmed")   // there, or it has ended
	ErrKernel           = errors.New("kernel too old")                    // for this call
	ErrPermission       = errors.New("permission denied")                 // a capability is missing
	ErrSystem           = errors.New("unexpected failure")                // what none of the others is
)
