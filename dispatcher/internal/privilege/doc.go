// Package privilege knows the capabilities of this process, and what their lack explains.
package privilege
