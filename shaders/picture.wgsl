// The picture of the map, as large as the map on the screen, drawn into the window pixel by pixel.

@group(0) @binding(0) var picture: texture_2d<f32>;

struct Vertex {
    @builtin(position) place: vec4<f32>,
    // From the upper left corner of the map, as a share of its size.
    @location(0) share: vec2<f32>,
};

@vertex
fn vertex(@builtin(vertex_index) corner: u32) -> Vertex {
    // One triangle that is larger than the map covers it without a seam.
    var out: Vertex;
    let share = vec2<f32>(f32((corner & 1u) * 2u), f32((corner >> 1u) * 2u));
    out.share = share;
    out.place = vec4<f32>(share.x * 2.0 - 1.0, 1.0 - share.y * 2.0, 0.0, 1.0);
    return out;
}

fn pixel(share: vec2<f32>) -> vec4<f32> {
    let size = textureDimensions(picture);
    let at = min(vec2<u32>(share * vec2<f32>(size)), size - vec2<u32>(1u));
    return textureLoad(picture, at, 0);
}

@fragment
fn fragment(in: Vertex) -> @location(0) vec4<f32> {
    return pixel(in.share);
}

fn to_linear(v: vec3<f32>) -> vec3<f32> {
    let low = v / 12.92;
    let high = pow((v + vec3<f32>(0.055)) / 1.055, vec3<f32>(2.4));
    return select(high, low, v <= vec3<f32>(0.04045));
}

// Where the window stores linear light.
@fragment
fn fragment_linear(in: Vertex) -> @location(0) vec4<f32> {
    let seen = pixel(in.share);
    let rgb = to_linear(seen.rgb / max(seen.a, 0.001));
    return vec4<f32>(rgb * seen.a, seen.a);
}
