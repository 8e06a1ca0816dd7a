// Which answers a client takes, and how gladly: the weights that its fields give what there is (RFC
// 9110 section 12.5). Members of a field that mean nothing are passed over.
#pragma once

#include "base/text.h"

// The weight that the value of Accept gives a media type, in thousandths: that of the narrowest
// range which takes it in; 0: not acceptable. A range with a parameter other than the weight (and
// charset=utf-8) is meant for another representation of its type, and counts where nothing else
// names the type.
unsigned accept_media_weight(struct text accept, struct text type);

// The weight that the value of Accept-Encoding gives a coding (section 12.5.3), where the field is
// there: that of the member that names it, or else of "*"; without either the identity is
// acceptable, and nothing else. "x-gzip" is gzip.
unsigned accept_coding_weight(struct text accepted, struct text coding);
bool accept_coding_is_named(struct text accepted, struct text coding);
