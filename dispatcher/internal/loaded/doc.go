// Package loaded reads what is in the kernel by its id: programs, maps and links, who
// holds a link, and when no packet can be inside a program any more.
package loaded
