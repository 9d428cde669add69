// The cells on the map: one round point each.
//
// Positions lie in a texture that is written once an embedding; textures, unlike storage buffers, can be read by
// vertex shaders on every system the window runs on. An instance is one cell in drawing order: its number and the
// number of its colour. Colours lie in a table; a colour of alpha 0 hides its cells.

struct View {
    // Device coordinates = position * scale + offset.
    scale: vec2<f32>,
    offset: vec2<f32>,
    // Pixels of the map.
    viewport: vec2<f32>,
    // Radius of a point in pixels.
    radius: f32,
    // Opacity of a point.
    opacity: f32,
    // Cells a row of the position texture, and colours a row of the table.
    positions_width: u32,
    colours_width: u32,
    // How much the rim is darkened, so that pale points show on a pale ground.
    rim: f32,
    // The colour of cells outside of the selection, red in the lowest byte.
    dim: u32,
};

@group(0) @binding(0) var<uniform> view: View;
@group(0) @binding(1) var positions: texture_2d<f32>;
@group(0) @binding(2) var colours: texture_2d<f32>;

struct Vertex {
    @builtin(position) place: vec4<f32>,
    // From the centre of the point, in pixels.
    @location(0) from_centre: vec2<f32>,
    @location(1) @interpolate(flat) colour: vec4<f32>,
};

@vertex
fn vertex(@builtin(vertex_index) corner: u32, @location(0) instance: vec2<u32>) -> Vertex {
    var out: Vertex;
    // The highest bit of the colour's number marks cells outside of the selection.
    let entry = instance.y & 0x7fffffffu;
    var colour = textureLoad(colours, vec2<u32>(entry % view.colours_width, entry / view.colours_width), 0);
    if (entry != instance.y) {
        colour = vec4<f32>(mix(colour.rgb, unpack4x8unorm(view.dim).rgb, 0.88), colour.a * 0.55);
    }
    let position =
        textureLoad(positions, vec2<u32>(instance.x % view.positions_width, instance.x / view.positions_width), 0).xy;
    // One pixel more than the radius leaves room for the soft edge.
    let reach = view.radius + 1.0;
    let sides = vec2<f32>(select(-1.0, 1.0, (corner & 1u) != 0u), select(-1.0, 1.0, (corner & 2u) != 0u));
    out.from_centre = sides * reach;
    out.colour = colour;
    let centre = position * view.scale + view.offset;
    out.place = vec4<f32>(centre + out.from_centre * 2.0 / view.viewport, 0.0, 1.0);
    if (colour.a == 0.0) {
        // Outside of everything that is drawn.
        out.place = vec4<f32>(2.0, 2.0, 2.0, 1.0);
    }
    return out;
}

@fragment
fn fragment(in: Vertex) -> @location(0) vec4<f32> {
    let distance = length(in.from_centre);
    let coverage = clamp(view.radius + 0.5 - distance, 0.0, 1.0);
    if (coverage <= 0.0) {
        discard;
    }
    let rim = clamp(distance - (view.radius - 1.2), 0.0, 1.0) * view.rim;
    let rgb = in.colour.rgb * (1.0 - rim);
    let alpha = coverage * view.opacity * in.colour.a;
    return vec4<f32>(rgb * alpha, alpha);
}
