// The resource of which the tests of plans are, and what is the same in many of its statements.
#pragma once

static const char things[] = "required: [title]\n"
                             "properties:\n"
                             "  title: {type: string, maxLength: 100}\n"
                             "  rank: {type: integer}\n"
                             "  open: {type: boolean}\n"
                             "  due: {type: string, format: date-time}\n"
                             "  secret: {type: string, maxLength: 50, writeOnly: true}\n"
                             "  notes: {type: string, maxLength: 1000}\n"
                             "indexes: [[due], [rank, title], [open]]\n"
                             "unique: [[title]]\n";

// What stands between the selection and the end of each part of a list.
#define COLUMNS "\"id\", \"title\", \"rank\", \"open\", \"due\", \"notes\""
#define FROM " FROM \"things\""
