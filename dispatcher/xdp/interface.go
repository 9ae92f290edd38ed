package xdp

// Interface names a network interface of the calling thread's network namespace.
type Interface struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
}
