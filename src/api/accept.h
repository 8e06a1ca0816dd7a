// Which answers a client takes, and how gladly: the weights that its fields give what there is (RFC
// 9110 section 12.5). Members of a field that mean nothing are passed over.
#pragma once

#include "base/text.h"

// The weight that the value of Accept gives a media type, in thousandths: that of the narrowest
// range which takes it in; 0: not acceptable. A range with a parameter other than the weight (and
// charset=utf-8) is meant for another representation of its type, and counts where nothing else
// names the type.
unsigned accept_media_weight(struct text accept, struct text type);
