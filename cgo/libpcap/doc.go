// Package libpcap binds the part of the system's libpcap that compiles filters in the language of
// tcpdump, pcap-filter(7), and tries them on packets. It captures nothing.
//
// The layer is thin and holds no opinion: a function makes one call of the library, besides those
// that give it what it needs, and turns the result into a Go value and an error. What is done
// with a filter is decided in package [github.com/xdpmux/xdpmux/dispatcher/filter].
//
// # Ownership
//
// Nothing of C's outlives a call: [Compile] copies the program that the library made, and frees
// it. There is nothing to close.
//
// # Threads
//
// All functions may be called by different goroutines at once.
//
// # Errors
//
// An error is an [*Error] with what the library says of the filter. It says what is wrong, but
// not where.
package libpcap
