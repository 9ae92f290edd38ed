// Package object makes programs of objects. It opens an object, picks a program, gives maps
// their sizes and variables their values, loads the program for a slot of a dispatcher, fills
// and pins its maps, and names the fault when that fails. It has the program use the maps of
// another one that it replaces.
package object
