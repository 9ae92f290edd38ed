// Package object makes programs of an object file: it opens the file, picks a program,
// sizes, pins and fills its maps, loads it for a slot of a dispatcher, and names the
// fault when that fails. Maps of a program that runs are kept by the one that replaces it.
package object
