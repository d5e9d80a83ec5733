package fastapi2fa

import "slices"

// Calls are the calls that the description has to have, in order.
func Calls() []string {
	var all []string
	for _, r := range routes() {
		if r.path != "/openapi.json" {
			all = append(all, r.method+" "+prefix+r.path)
		}
	}
	slices.Sort(all)
	return all
}
