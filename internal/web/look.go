package web

// Look is what all pages of a site have in common: its name, and the paths of
// the style sheet and of the picture.
type Look struct {
	Site, Style, Icon, IconKind string
}
