package dispatcher

// InterfaceByIndex finds an interface of the calling thread's network namespace, whatever
// it is called. Errors: [ErrNoInterface].
func InterfaceByIndex(index int) (Interface, error) { return interfaceByIndex(index) }

// Interfaces lists those of the calling thread's network namespace, in the kernel's order.
func Interfaces() ([]Interface, error) { return interfaces() }
